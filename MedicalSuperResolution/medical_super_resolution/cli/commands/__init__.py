"""The commands of ``medsr``, one file each: HELP, ``add_arguments`` and ``run``; light to import."""
