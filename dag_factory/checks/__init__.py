"""Warnings that stop no job, and how problems are silenced and printed.

Modules:
    plaintext_secrets    secrets in plaintext (MDF050), and settings that override a secret
    unread_keys          keys that Meltano ignores, such as misspelt ones
    ineffective_options  options that have no effect, or not the expected one
    reporting            comments that silence a warning; text with carets, JSON, GitHub
"""
