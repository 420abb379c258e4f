#!/usr/bin/env python3
"""Writes examples/traffic.jsonl: one made-up day of a referral program, honest people and a few who are not.

    python3 examples/make_traffic.py > examples/traffic.jsonl

The same seed gives the same bytes. Every name, address and number is invented; addresses are from the networks that
RFC 5737 and RFC 3849 set aside for documentation, or from a made-up carrier range.
"""
import datetime
import json
import random

R = random.Random(20260501)
DAY = datetime.datetime(2026, 5, 1, tzinfo=datetime.timezone.utc)
FIRST = "amal omar layla yusuf noura khalid sara faisal huda tariq maria james chen priya elena david".split()
LAST = "alharbi alqahtani alotaibi hassan garcia smith wang patel rossi cohen mueller dubois".split()
AGENTS = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
]
events = []


def at(minute, second=0.0):
    return DAY + datetime.timedelta(minutes=minute, seconds=second)


def emit(time, kind, **data):
    events.append((time, kind, {k: v for k, v in data.items() if v is not None}))


def person(n):
    first, last = R.choice(FIRST), R.choice(LAST)
    return {
        "account_id": f"member-{n:04d}",
        "email": f"{first}.{last}{n}@example.com",
        "phone": f"+9665{R.randrange(10**7, 10**8)}",
        "device_id": f"phone-{n:04d}-{R.getrandbits(24):06x}",
        "ip": f"5.42.{R.randrange(192, 255)}.{R.randrange(1, 255)}",
        "payment_fingerprint": f"card-{R.getrandbits(40):010x}",
        "user_agent": R.choice(AGENTS),
        "country": "SA",
    }


def client(p, *names):
    return {k: p[k] for k in ("account_id", "device_id", "ip", "user_agent", "country", *names)}


def honest_day(people):
    """Sign-ups, logins, orders, points and now and then a referral between people with nothing in common."""
    for n, p in enumerate(people):
        minute = R.uniform(0, 900)
        p["account_created_at"] = at(minute).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        emit(at(minute), "account.created", **client(p, "email", "phone", "account_created_at"), channel="app")
        emit(at(minute + R.uniform(1, 20)), "login.succeeded", **client(p), channel="app")
        if n % 3 == 0:
            later = minute + R.uniform(30, 400)
            emit(at(later), "order.placed", **client(p, "payment_fingerprint"), order_id=f"order-{n:04d}",
                 amount_minor=R.randrange(4_000, 60_000), currency="SAR", merchant_id=f"shop-{n % 7}")
            emit(at(later, 20), "reward.granted", account_id=p["account_id"], reward_id=f"points-{n:04d}",
                 reward_kind="points", amount_minor=R.randrange(40, 600), currency="PTS", order_id=f"order-{n:04d}")
        if n % 7 == 3 and n > 10:
            referrer = people[R.randrange(0, n - 5)]
            emit(at(minute + 25), "referral.completed", **client(p, "email", "payment_fingerprint"),
                 referrer_id=referrer["account_id"], referrer_email=referrer["email"],
                 referral_id=f"ref-{n:04d}", referral_code=f"HELLO{n:03d}", campaign="spring", channel="app")
        if n % 11 == 5:
            emit(at(minute + 300), "reward.redeemed", **client(p), reward_kind="points",
                 amount_minor=R.randrange(100, 900), currency="PTS", channel="pos")


def self_referral(people):
    """A member invites a second account of her own, on the same phone and behind a plus address."""
    p = people[4]
    alias = {**p, "account_id": "member-9001", "email": p["email"].replace("@", "+2@")}
    emit(at(610), "account.created", **client(alias, "email"), channel="app")
    emit(at(612), "referral.completed", **client(alias, "email", "payment_fingerprint"),
         referrer_id=p["account_id"], referrer_email=p["email"], referral_id="ref-9001",
         referral_code="HELLO004", campaign="spring", channel="app")


def device_farm():
    """Nine accounts opened on one device within minutes, all invited by the first."""
    base = {"device_id": "farm-device-01", "ip": "198.51.100.23", "user_agent": AGENTS[1], "country": "SA"}
    for n in range(9):
        account = f"member-92{n:02d}"
        emit(at(700 + n * 2), "account.created", account_id=account, email=f"kq{R.getrandbits(20):05x}@mailinator.com", **base)
        if n:
            emit(at(701 + n * 2), "referral.completed", account_id=account, referrer_id="member-9200",
                 referral_id=f"ref-92{n:02d}", referral_code="FARM", campaign="spring", **base)


def coupon_guessing():
    """One device tries coupon codes until one fits."""
    for n in range(24):
        emit(at(805, n * 4), "coupon.applied", account_id="member-9300", device_id="guess-device-01", ip="203.0.113.77",
             code=f"h-{R.getrandbits(32):08x}", result="ok" if n == 23 else "invalid", channel="web")


def takeover(people):
    """Failed logins, a new device, a password reset, then the points are gone."""
    p = people[8]
    thief = {"account_id": p["account_id"], "device_id": "new-device-77", "ip": "192.0.2.66",
             "user_agent": AGENTS[2], "country": "NL"}
    for n in range(7):
        emit(at(1000, n * 9), "login.failed", **thief, channel="web")
    emit(at(1003), "password.reset", **thief, channel="web")
    emit(at(1004), "login.succeeded", **thief, channel="web")
    emit(at(1006), "reward.transferred", **thief, reward_kind="points", amount_minor=48_000, currency="PTS",
         recipient_id="member-9400", channel="web")
    emit(at(1008), "gift_card.redeemed", **thief, code="h-77aa01bc", result="ok", amount_minor=20_000, currency="SAR")


def mule(people):
    """A new account collects the points of many members."""
    emit(at(1090), "account.created", account_id="member-9400", email="collect.point@example.net",
         device_id="mule-phone", ip="203.0.113.140", country="SA")
    for n in range(6):
        giver = people[20 + n]
        emit(at(1100 + n * 6), "reward.transferred", **client(giver), reward_kind="points",
             amount_minor=R.randrange(4_000, 9_000), currency="PTS", recipient_id="member-9400")


people = [person(n) for n in range(120)]
honest_day(people)
self_referral(people)
device_farm()
coupon_guessing()
takeover(people)
mule(people)
events.sort(key=lambda e: e[0])
for number, (time, kind, data) in enumerate(events):
    print(json.dumps({
        "specversion": "1.0",
        "id": f"day-{number:05d}",
        "source": "/example-shop",
        "type": kind,
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"program": "default", **data},
    }, separators=(",", ":")))
