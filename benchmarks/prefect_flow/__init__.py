"""The tutorial's flow in Prefect 3, to compare the assets with; `make prefect` makes an environment to run it in."""
