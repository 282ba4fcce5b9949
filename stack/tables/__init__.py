"""An experiment as text: tables for terminals, spreadsheets and other programs."""
