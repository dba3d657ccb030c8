"""The component, in this process, beside other definitions, and in a project of its own."""
