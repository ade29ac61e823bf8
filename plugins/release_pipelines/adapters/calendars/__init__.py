"""Calendars of others: iCalendar texts (RFC 5545) → windows and freezes, and how such texts are fetched."""
