"""Items whose answer was lost: what Refersion says about them, and how a person resolves them."""
