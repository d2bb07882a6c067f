"""Singer tap that reads people, groups and memberships from an LDAP directory."""
