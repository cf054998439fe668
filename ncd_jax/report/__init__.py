"""What people read: findings, plots, pages, the console."""
