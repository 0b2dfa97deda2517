"""The whole AWS stack that Holdfast needs, on one machine. See ../README.md."""
