"""A command as small as one can be, for the tests of `whatwhere.command`."""
