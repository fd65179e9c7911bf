"""Alerts: what a message says, and how it is sent. When to alert is for the sensors to know."""
