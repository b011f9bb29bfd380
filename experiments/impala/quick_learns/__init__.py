"""Does the quick preset learn?"""
