"""New demonstrations from recorded ones: segments of motion, each about an object, moved with their objects to new starts and played there."""
