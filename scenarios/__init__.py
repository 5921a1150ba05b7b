"""Scenarios that come with desim; `desim run NAME` finds NAME.toml here."""
