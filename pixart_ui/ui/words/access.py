"""The words of signing in, of the account and of sharing."""

from __future__ import annotations

TITLE = "PixArt UI"
SIGN_IN = "Sign in"
SIGN_IN_INTRO = "Whoever runs this app gave you a name and a password."
NAME = "Name"
PASSWORD = "Password"
WRONG = "That name and password do not belong together: try again."
TOO_OFTEN = "Too many tries for this name: try again in {seconds} seconds."
SIGN_OUT = "Sign out"
BACK = "Back to the pictures"

ACCOUNT = "Your account"
YOU_ARE = "You are signed in as {name}."
ROLES = {
    "owner": "The owner sees every picture and may do everything.",
    "member": "You see your own pictures, and of others' jobs only where they stand in the queue.",
    "visitor": "You see your own pictures. They belong to this browser.",
}
LIMITS = "At most {side} × {side} pixels, {steps} steps, {jobs} unfinished jobs, and {pictures} such pictures an hour."
LINKS = "Links that work"
NO_LINKS = "None."
LINK_LINE = "{what}, made by {owner}, until {until}"
REVOKE = "Revoke"

SHARE = "Share"
SHARE_PICTURE = "Share this picture"
SHARE_COMPARISON = "Share this comparison"
SHARE_INTRO = "A link shows this one thing, without signing in, for 7 days or until you revoke it."
MAKE_LINK = "Make a link"
LINK_MADE = "This is the link. It is shown only now:"
TO_ALL_INTRO = "Everybody who signs in can see it."
NOT_TO_ALL_INTRO = "Only its owner and the owner of this app can see it."
TO_ALL = "Show it to everybody who signs in"
NOT_TO_ALL = "Show it to nobody else any more"
DOWNLOAD = "Download"
DOWNLOAD_PLAIN = "Without settings"
DOWNLOAD_WHOLE = "With settings"
GONE = "This link has run out or was revoked: ask for a new one."
HIDDEN_PROMPT = "somebody else's picture"

STARTED_WITH = "Made for this start, and printed only now:"
CREDENTIAL = "  {role:<6}  name {name}  password {password}"
SHARED_AT = "Shared at {url} for up to a week, while this runs."
NO_TUNNEL = "No share link can be had ({why}): the page stays on this machine. It is asked for again at the next start."
ONLY_LOCAL_NAMES = (
    "It listens on every address of this machine and answers to localhost alone: "
    "name what others call it with --allowed-host NAME."
)
EVERYBODY = "Everybody here"
ACCOUNT_LINK = "Account"
