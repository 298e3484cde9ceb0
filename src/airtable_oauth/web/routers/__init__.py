"""Thin routes: parse, call one operation, answer."""
