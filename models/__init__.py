"""The game and the forecast. Pure: no network, no database, no clock, no Prefect."""
