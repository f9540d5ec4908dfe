c = get_config()  # noqa: F821

c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/app/notebooks"
c.ServerApp.allow_remote_access = True
c.IdentityProvider.token = "a-token-of-the-team"
