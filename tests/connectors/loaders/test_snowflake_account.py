"""A real account, where the variables name one: the other tests then run there too."""


def test_there_is_an_account(snowflake_account):
    [[version]] = snowflake_account.ask("select current_version()")
    assert version
