"""What callers ask for, frozen and validated where it is made."""
