"""Reading live on one machine: a subscription or the control table, acknowledged on account."""
