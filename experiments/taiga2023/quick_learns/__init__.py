"""Does the Atari quick preset learn?"""
