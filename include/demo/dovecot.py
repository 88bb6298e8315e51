"""A Dovecot of one's own on 127.0.0.1: where its files lie, who signs in, and a table of accounts in PostgreSQL.

For the demo where Dovecot is installed, and for the tests. What matters to Lethe stands here as a site would have it:
`password_query` asks for `active` and `user_query` does not, a master user, doveadm over HTTPS, Sieve.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from demo.certificates import certify
from lethe.offboarding.dovecot import Settings

MAILBOX = """
CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password text NOT NULL, name text NOT NULL DEFAULT '',
    maildir text NOT NULL, quota bigint NOT NULL DEFAULT 0, domain text NOT NULL DEFAULT '', active boolean NOT NULL
    DEFAULT true);
GRANT SELECT, UPDATE (active), DELETE ON mailbox TO lethe_worker;
"""
CONFIGURATION = """
base_dir = {home}/run
state_dir = {home}/state
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {group}
log_path = {home}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.key
ssl_dh =
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_cache_size = 1M
auth_failure_delay = 0
mail_location = maildir:~/Maildir:LAYOUT=fs
mail_plugins = quota{expunge_plugin}
mail_fsync = never
first_valid_uid = 0
first_valid_gid = 0
hostname = mail.tindheim.example
postmaster_address = postmaster@tindheim.example
sendmail_path = {home}/sendmail
doveadm_api_key = {key}
{more}
passdb {{
  driver = passwd-file
  args = {home}/masters
  master = yes
}}
passdb {{
  driver = sql
  args = {home}/sql.conf
}}
userdb {{
  driver = sql
  args = {home}/sql.conf
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
  mailbox Archive {{
    special_use = \\Archive
  }}
}}
protocol imap {{
  mail_plugins = quota imap_quota{expunge_plugin}
  mail_max_userip_connections = 50
}}
protocol lmtp {{
  mail_plugins = quota sieve
}}
plugin {{
  quota = maildir:User quota
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_extensions = +vacation-seconds
  sieve_vacation_min_period = 0
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service doveadm {{
  inet_listener http {{
    port = {http}
    ssl = yes
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
SQL = """
driver = pgsql
connect = {connect}
default_pass_scheme = PLAIN
password_query = SELECT username AS user, password FROM mailbox WHERE username = '%u' AND active
user_query = SELECT '{home}/mail/' || maildir AS home, '{uid}' AS uid, '{gid}' AS gid, \\
  CASE WHEN quota > 0 THEN '*:bytes=' || quota END AS quota_rule FROM mailbox WHERE username = '%u'
iterate_query = SELECT username AS user FROM mailbox
"""
SENDMAIL = """#!/bin/sh
cat > "$(mktemp {home}/sent/XXXXXXXX)"
"""
MODULES = Path("/usr/lib/dovecot/modules")
NEEDED = ("auth/libdriver_pgsql.so", "lib90_sieve_plugin.so")


@dataclass(frozen=True)
class Server:
    """Where one lies, its ports, and its secrets; `accounts` is the database of accounts as libpq reads it."""

    home: Path
    imaps: int
    lmtp: int
    http: int
    accounts: str
    master: str = field(repr=False)
    key: str = field(repr=False)

    @property
    def command(self) -> tuple[str, ...]:
        """What starts it, in the foreground."""
        return program(), "-F", "-c", str(self.home / "dovecot.conf")

    def configure(self, more: str = "", expunge_plugin: str = "") -> None:
        """Write its files, with certificates; as root, mail is another user's, who has to reach the directory."""
        home, root = self.home, os.geteuid() == 0
        me = pwd.getpwuid(os.getuid())
        mail = pwd.getpwnam("dovecot") if root else me
        internal, login = ("dovecot", "dovenull") if root else (me.pw_name, me.pw_name)
        group, uid, gid = grp.getgrgid(mail.pw_gid).gr_name, mail.pw_uid, mail.pw_gid
        certify(home)
        for name in ("mail", "sent", "run", "state"):
            (home / name).mkdir(exist_ok=True)
            (home / name).chmod(0o777 if name in ("mail", "sent") else 0o755)
        told = {
            "home": home, "internal": internal, "login": login, "group": group, "key": self.key, "more": more,
            "imaps": self.imaps, "lmtp": self.lmtp, "http": self.http, "connect": self.accounts, "uid": uid,
            "gid": gid, "expunge_plugin": expunge_plugin,
        }  # fmt: skip
        (home / "dovecot.conf").write_text(CONFIGURATION.format(**told))
        (home / "sql.conf").write_text(SQL.format(**told))
        (home / "masters").write_text(f"lethe:{{PLAIN}}{self.master}\n")
        (home / "sendmail").write_text(SENDMAIL.format(**told))
        (home / "sendmail").chmod(0o755)
        (home / "masters").chmod(0o644)

    def settings(self, accounts: str) -> Settings:
        """How Lethe reaches it; `accounts` is the same database for Lethe's own user."""
        return Settings(
            host="127.0.0.1", port=self.imaps, master="lethe", password=self.master,
            doveadm=f"https://127.0.0.1:{self.http}/doveadm/v1", api_key=self.key, accounts=accounts,
            ca=str(self.home / "ca.pem"),
        )  # fmt: skip


def program() -> str:
    """The program; Debian keeps it where a user's PATH does not lead."""
    return shutil.which("dovecot") or "/usr/sbin/dovecot"


@cache
def is_there() -> bool:
    """Whether a Dovecot that is configured so is installed, with all that is needed of it."""
    if not Path(program()).exists() or not all((MODULES / each).exists() for each in NEEDED):
        return False
    version = subprocess.run([program(), "--version"], capture_output=True, text=True, check=False).stdout
    return version.startswith("2.3.")  # 2.4 reads another configuration
