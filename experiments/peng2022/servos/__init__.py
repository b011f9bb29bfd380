"""Do the servos stay finite?"""
