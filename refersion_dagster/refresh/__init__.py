"""`refersion-dagster refresh`: runs the main job from a shell, with progress and a final summary."""
