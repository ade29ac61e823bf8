"""Kinds of stages that an app's file can add: a module each, called as people write it (see :mod:`release_pipelines.core.ports.own_stage`)."""
