"""The sandbox's people, products and places. All e-mail addresses, hosts and IPs are reserved ones."""

PLAIN_NAMES = (
    ("Barbara", "Verde"), ("Joe", "Smith"), ("Mara", "Lindqvist"), ("Tomás", "Ibáñez"), ("Chloé", "Lefèvre"),
    ("Priya", "Raman"), ("Jonas", "Weiß"), ("Amara", "Okafor"), ("Liam", "Gallagher"), ("Sofia", "Rossi"),
    ("Nils", "Åkerström"), ("Grace", "Mwangi"), ("Peter", "Novák"), ("Hannah", "Cole"), ("Diego", "Fuentes"),
)  # fmt: skip

NASTY_NAMES = (
    ("Seán \"Shane\"", "O'Reilly"),
    ("Smith, Jones", "& Partners, Ltd."),
    ("<script>alert(1)</script>", "<b>Bold</b>"),
    ("=HYPERLINK(\"https://example.com\")", "=1+1"),
    ("Мария", "Кузнецова"),
    ("美咲", "佐藤"),
    ("عمر", "الخطيب"),
    ("Party 🎉", "Parrot 🦜🏳️‍🌈"),
    ("नेहा", "शर्मा"),
    ("Robert'); DROP TABLE", "affiliates;--"),
    ("Ελένη", "Παπαδοπούλου"),
    ("דנה", "לוי"),
    ("민준", "김"),
    ("+49 Deals", "@home"),
    ("NULL", "None"),
    ("Zoe\u0301", "Mu\u0308ller"),
    ("back\\slash", "tab\tand\nnewline"),
    ("   Padded   ", ""),
    ("สมชาย", "ใจดี"),
    ("Nguyễn Thị", "Ánh Tuyết"),
)  # fmt: skip

CUSTOMER_FIRST_NAMES = (
    "Ada", "Björn", "Carmen", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Inés", "Jürgen",
    "Keiko", "Lars", "Mei", "Noor", "Olga", "Paulo", "Quinn", "Rosa", "Sanjay", "Tess",
)  # fmt: skip

CUSTOMER_LAST_NAMES = (
    "Abbott", "Brandt", "Costa", "D'Angelo", "Eriksen", "Fischer", "García", "Hughes", "Ito", "Jansen",
    "Kowalski", "Lopez", "Moreau", "Nakamura", "O'Neil", "Petrov", "Quist", "Ruiz", "Schäfer", "Tanaka",
)  # fmt: skip

MAIL_HOSTS = ("example.com", "example.net", "example.org")

# SKU, price in cents
PRODUCTS = (
    ("MUG-BLUE", 1250), ("MUG-RED", 1250), ("TEE-S-BLACK", 2400), ("TEE-M-BLACK", 2400), ("TEE-L-WHITE", 2599),
    ("HOODIE-M", 5900), ("HOODIE-L", 5900), ("CAP-NAVY", 1999), ("SOCKS-3", 1495), ("BOTTLE-750", 2950),
    ("BAG-TOTE", 1800), ("BAG-WEEKEND", 12900), ("JACKET-RAIN", 14900), ("BOOTS-42", 18950), ("SCARF-WOOL", 3450),
    ("GIFT-SET", 7999), ("CANDLE", 1105), ("POSTER-A2", 899), ("NOTEBOOK", 745), ("PEN", 333),
)  # fmt: skip

REFERERS = (
    "https://blog.example.com/gear", "https://video.example.net/watch?v=9x", "https://social.example.org/p/8812",
    "https://deals.example.com/?q=harbour&lang=en", "",
)  # fmt: skip

SUB_IDS = ("", "", "", "newsletter", "bio-link", "summer/2025", "ünïcode")

COUNTRIES = ("US", "GB", "DE", "FR", "ES", "IT", "SE", "CA", "JP", "BR")

MANUAL_NOTES = (
    "Bonus for the spring campaign",
    "Partial refund, see ticket 4411",
    "Content fee",
    'Correction, "as agreed"',
)

DENIALS = (
    ("RETURNED", "The order was returned"),
    ("FRAUD", "Payment marked as fraudulent"),
    ("OTHER", "Not eligible under the programme's terms"),
)
