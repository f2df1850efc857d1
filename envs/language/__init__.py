"""What version 1 of the tasks draws and says: things, scenes of them, and sentences that name one. Imports no simulator."""
