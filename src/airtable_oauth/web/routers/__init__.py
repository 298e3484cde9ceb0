"""Thin routes: parse, call one verb, answer."""
