"""The studies of a cohort among its workers, through Dask."""
