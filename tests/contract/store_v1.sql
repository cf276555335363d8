-- What a state directory of layout 1 held: one row per event, bodies by digest, two segments.
INSERT INTO meta VALUES ('created_wall_ns', '5'), ('effect_no', '12');

-- "0x1" and "0x2", by the first half of their SHA-256.
INSERT INTO bodies VALUES
    (1, '32d74fe09a60fb247229b49f6dfc2a06', CAST('"0x1"' AS BLOB)), (2, '32d74fe09a60fb247229b49f6dfc2a06', CAST('"0x1"' AS BLOB)), (2, '7abf5ed3c2a1483253938b48b720e86c', CAST('"0x2"' AS BLOB));
INSERT INTO journal VALUES
    (1, 1, 10, 1010, 0, CAST('{"event":1}' AS BLOB), ''),
    (2, 1, 10, 1010, 0, CAST('{"event":2}' AS BLOB), '32d74fe09a60fb247229b49f6dfc2a06'),
    (3, 1, 11, 1011, 4, CAST('{"event":3}' AS BLOB), '32d74fe09a60fb247229b49f6dfc2a06'),
    (4, 2, 12, 1012, 8, CAST('{"event":4}' AS BLOB), '7abf5ed3c2a1483253938b48b720e86c 32d74fe09a60fb247229b49f6dfc2a06'),
    (5, 2, 13, 1013, 12, CAST('{"event":5}' AS BLOB), '7abf5ed3c2a1483253938b48b720e86c');
INSERT INTO snapshots VALUES (2, 3, 11, 1011, 4, x'8e4ef08118b97161a817793521d637d2d9778a8d5aed0a809c10d8687a2ac5ed', CAST('state behind 3' AS BLOB));
INSERT INTO outbox VALUES
    (3, 'w:boot:3', 'f', 1, 'event/warning/d', CAST('{"seq":3}' AS BLOB), 0, 1, NULL, 'application/json', 100, 200),
    (4, 'w:boot:4', 'f', 0, 'event/info/d', CAST('{"seq":4}' AS BLOB), 0, 1, 60, 'application/json', 101, NULL),
    (5, 'w:boot:5', 'g', 1, 'event/warning/d', CAST('{"seq":5}' AS BLOB), 0, 1, NULL, 'application/json', 102, NULL),
    (6, 'w:boot:6', 'f', 2, 'event/critical/d', CAST('{"seq":6}' AS BLOB), 0, 1, NULL, 'application/json', 103, NULL);
INSERT INTO retained VALUES ('status', CAST('ready' AS BLOB), 50), ('head', NULL, 60);
