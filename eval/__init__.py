"""Rolling a policy out, scoring it from rows on disk, and comparing policies on the same starts. Importing this imports no simulator and no torch."""
