"""Emergence: what training outcomes do over random seeds as scale grows, and the tasks on which it shows."""
