"""A backup of a small application, from its making to the proof that every snapshot is right."""
