"""One campaign and one user, slowly, as docs/reference/campaigns.md has it: each question looks through all calls anew.

Knows triggers and exits by an event, `same`, audiences by an attribute, lists of messages, both kinds of waits, `if`,
goals that only count, and settling. Times are microseconds UTC.
"""

from collections.abc import Iterable
from typing import Any

from transforms.events.event import Event

__all__ = ["simulate"]

Plain = dict[str, Any]
#: What happened: its kind, the step, the message or the reason, and when.
Happened = tuple[str, str, str, int]

S, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
UNITS = {"s": S, "m": 60 * S, "h": HOUR, "d": DAY}
NEVER = 2**62
PENDING = ["pending"]


def simulate(campaign: Plain, calls: Iterable[Event], settling: int, until: int) -> list[Happened]:
    """What comes of calls, in the order in which they arrive, up to a time."""
    world = _World(campaign, settling)
    for call in sorted(calls, key=lambda each: (each.arrival, each.id)):
        if call.arrival > until:
            break
        world.pass_time(call.arrival)
        world.hear(call)
    world.pass_time(until)
    return world.told


def length(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def order(event: Event) -> tuple[int, str]:
    return event.time, event.id


class _World:
    def __init__(self, campaign: Plain, settling: int) -> None:
        self.campaign, self.settling = campaign, settling
        self.calls: list[Event] = []
        self.told: list[Happened] = []
        self.inside: list[Plain] = []
        self.entered: list[int] = []
        self.goals: list[Plain] = []

    # What is known.

    @property
    def settled(self) -> int:
        return self.calls[0].arrival + self.settling

    def trait(self, name: str) -> Any:
        said = [call for call in self.calls if call.type == "identify" and name in call.traits]
        return max(said, key=order).traits[name] if said else None

    def consent(self, channel: str) -> bool | None:
        said = [c for c in self.calls if c.name == "Consent Changed" and c.properties["channel"] == channel]
        return max(said, key=order).properties["granted"] if said else None

    def state(self, message: str) -> str:
        """Of a message: goes, denied, or lacks a fact, with the reason."""
        channel = message.partition("_")[0]
        consent = self.consent(channel)
        if consent is False:
            return "denied"
        if consent is None and channel == "email":
            return "no_consent"
        tokens = any("device" in call.context for call in self.calls)
        return (
            "goes" if {"push": tokens, "email": bool(self.trait("email")), "webhook": True}[channel] else "unreachable"
        )

    def came_after(self, asked: Plain, trigger: Event, after: tuple[int, str]) -> Event | None:
        """The newest event that is asked for, if it is later."""
        found = [call for call in self.calls if is_asked(asked, call, trigger) and order(call) > after]
        return max(found, key=order, default=None)

    # What happens.

    def pass_time(self, until: int) -> None:
        while self.inside and (due := min(journey["due"] for journey in self.inside)) <= until:
            for journey in [each for each in self.inside if each["due"] == due]:
                if journey in self.inside and journey["due"] == due:
                    self.go_on(journey, due)

    def hear(self, call: Event) -> None:
        self.calls.append(call)
        now, exit_ = call.arrival, self.campaign.get("exit")
        going_on = []
        for journey in list(self.inside):
            trigger = journey["trigger"]
            if exit_ and call.time >= trigger.time and is_asked(exit_, call, trigger):
                self.end(journey, "exit", now)
            elif journey["awaits"] and call.time >= journey["heard"][0] and is_asked(journey["awaits"], call, trigger):
                going_on.append(journey)
        for goal in self.goals:
            if not goal["reached"] and goal["begin"] <= call.time < goal["end"] and call.name == goal["event"]:
                self.reach(goal, call)
        self.ask_again(now)
        for journey in going_on:
            self.go_on(journey, now)
        if call.name == "Bought":
            self.trigger(call, now)

    def ask_again(self, now: int) -> None:
        for journey in [each for each in self.inside if each["settling"]]:
            self.go_on(journey, now)

    def trigger(self, call: Event, now: int) -> None:
        journey = {"trigger": call, "steps": PENDING, "due": NEVER, "settling": False, "awaits": None, "at": now}
        if call.arrival - call.time > HOUR:
            self.tell("refused", "", "too_old", now)
            return
        reason, lacks = self.refusal(journey, now)
        if reason and lacks and now < self.settled:
            if any(each["steps"] is PENDING for each in self.inside):
                self.tell("refused", "", "in_journey", now)
            else:
                self.inside.append(journey | {"due": self.settled, "settling": True})
        elif reason:
            self.tell("refused", "", "in_journey" if reason == "audience" and self.is_pending() else reason, now)
        else:
            self.inside.append(journey)
            self.enter(journey, now)

    def is_pending(self) -> bool:
        return any(each["steps"] is PENDING for each in self.inside)

    def refusal(self, journey: Plain, now: int) -> tuple[str, bool]:
        """Why nobody enters, and whether facts may still come by which they do."""
        if self.campaign.get("audience") and self.trait("vip") is not True:
            return "audience", True
        again = self.campaign["reenter"]
        if self.entered and (
            again == "never" or (again != "always" and now - self.entered[-1] < length(again["after"]))
        ):
            return "reentry", False
        if any(other is not journey for other in self.inside):
            return "in_journey", False
        sends = list(sends_of(self.campaign["steps"]))
        if not self.sends_at_once(self.campaign["steps"]) or any(
            self.state(message) == "goes" for send in sends for message in send
        ):
            return "", False
        reasons = []
        for send in sends:
            states = {self.state(message) for message in send}
            reasons.append("unreachable" if "unreachable" in states else "no_consent")
        return min(reasons), any(self.state(message) != "denied" for send in sends for message in send)

    def sends_at_once(self, steps: list[Plain]) -> bool:
        for step in steps:
            if "send" in step:
                return True
            if "wait" in step:
                return False
            if "if" in step:
                inner = step["then"] if self.trait("vip") is True else step["else"]
                if any("send" in each or "wait" in each for each in inner):
                    return self.sends_at_once(inner)
        return False

    def enter(self, journey: Plain, now: int) -> None:
        trigger = journey["trigger"]
        self.entered.append(now)
        self.tell("entered", "", "", now)
        for name, goal in self.campaign.get("goals", {}).items():
            window = {"begin": trigger.time, "end": trigger.time + length(goal["within"])}
            found = {"name": name, "event": goal["event"], "reached": False, **window}
            self.goals.append(found)
            came = self.came_after({"event": goal["event"]}, trigger, order(trigger))
            if came is not None and came.time < found["end"]:
                self.reach(found, came)
        journey |= {"settling": False, "due": NEVER, "heard": order(trigger)}
        journey["steps"] = list(self.campaign["steps"])
        if (exit_ := self.campaign.get("exit")) and self.came_after(exit_, trigger, order(trigger)):
            self.end(journey, "exit", now)
            return
        self.walk(journey, now, now)

    def go_on(self, journey: Plain, now: int) -> None:
        """Let something go on whose time has come, or which facts may let go on."""
        if journey["steps"] is PENDING:
            reason, _ = self.refusal(journey, now)
            if not reason:
                self.enter(journey, now)
            elif now >= journey["due"]:
                self.end(journey, reason, now)
        elif journey["settling"]:
            self.walk(journey, journey["fell_due"], now)
        else:
            journey["steps"].pop(0)
            journey |= {"awaits": None, "heard": (now, chr(0x10FFFF))}
            self.walk(journey, now, now)

    def walk(self, journey: Plain, fell_due: int, now: int) -> None:
        trigger, steps = journey["trigger"], journey["steps"]
        while steps:
            step = steps[0]
            if "send" in step:
                latest = min(self.settled, fell_due + length(self.campaign.get("max_delay", "24h")))
                if now < latest and self.lacks(step["send"]):
                    journey |= {"settling": True, "due": latest, "fell_due": fell_due, "awaits": None}
                    return
                self.decide(step, now)
                journey["settling"] = False
            elif "if" in step:
                steps[1:1] = step["then"] if self.trait("vip") is True else step["else"]
            else:
                wait = step["wait"]
                awaited = wait["for"] if isinstance(wait, dict) else None
                came = self.came_after(awaited, trigger, journey["heard"]) if awaited else None
                if came is None:
                    journey |= {"due": now + length(wait["at_most"] if awaited else wait), "awaits": awaited}
                    journey["settling"] = False
                    return
                journey["heard"] = order(came)
            steps.pop(0)
            fell_due = now
        self.inside.remove(journey)

    def lacks(self, messages: list[str]) -> bool:
        states = [state for message in messages if (state := self.state(message)) != "denied"]
        return bool(states) and states[0] != "goes"

    def decide(self, step: Plain, now: int) -> None:
        states = [self.state(message) for message in step["send"]]
        if "goes" in states:
            self.tell("sent", step["id"], step["send"][states.index("goes")], now)
        else:
            self.tell("refused", step["id"], "unreachable" if "unreachable" in states else "no_consent", now)

    def reach(self, goal: Plain, event: Event) -> None:
        goal["reached"] = True
        self.tell("goal", goal["name"], "", event.time)

    def end(self, journey: Plain, reason: str, now: int) -> None:
        self.inside.remove(journey)
        steps = journey["steps"]
        if steps is not PENDING and "wait" in steps[0] and journey["due"] < NEVER:
            steps = steps[1:]
        self.tell("refused", steps[0]["id"] if steps and steps is not PENDING else "", reason, now)

    def tell(self, kind: str, step: str, what: str, at: int) -> None:
        self.told.append((kind, step, what, at))


def is_asked(asked: Plain, call: Event, trigger: Event) -> bool:
    if call.name != asked["event"]:
        return False
    if "same" not in asked:
        return True
    mine, theirs = call.properties.get(asked["same"]), trigger.properties.get(asked["same"])
    return mine is not None and mine == theirs


def sends_of(steps: list[Plain]) -> Iterable[list[str]]:
    for step in steps:
        if "send" in step:
            yield step["send"]
        yield from sends_of([*step.get("then", ()), *step.get("else", ())])
