"""Loads the client library of PostgreSQL as a driver written in C does."""
import ctypes

libpq = ctypes.CDLL("libpq.so.5")


def version():
    return libpq.PQlibVersion()
