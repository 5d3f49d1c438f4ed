"""What the commands of the package and of its papers share: options and inputs (shared), and what they give (answer).

Nothing heavy is imported.
"""
