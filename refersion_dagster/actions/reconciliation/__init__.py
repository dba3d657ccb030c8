"""Items whose response was lost: evidence in Refersion's data, and a person's decision."""
