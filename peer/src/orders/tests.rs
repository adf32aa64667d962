//! Sessions against a manager that says what a test wants.
