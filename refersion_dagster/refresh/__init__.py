"""`refersion-dagster refresh`: the main job from a shell, with its progress and a summary at its end."""
