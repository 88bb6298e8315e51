-- Twelve employees by hand; nobody here is anybody's likeness.
INSERT INTO employees (employee_no, name, mailbox, manager_no, language, employed_from, last_day, departure) VALUES
    (1000, 'Ragnhild Tindheim', 'ragnhild.tindheim@tindheim.example', NULL, 'nb', '2004-01-01', NULL, NULL),
    (1001, 'Ola Storvik',       'ola.storvik@tindheim.example',       1000, 'nb', '2009-08-01', NULL, NULL),
    (1002, 'Per Blåfjell',      'per.blaafjell@tindheim.example',     1001, 'nb', '2015-03-01', NULL, NULL),
    (1003, 'Amina Yusuf',       'amina.yusuf@tindheim.example',       1001, 'en', '2018-01-15', NULL, NULL),
    (1004, 'Kari Nordmo',       'kari.nordmo@tindheim.example',       1001, 'nb', '2012-05-01', '2025-02-28', 'leaving'),
    (1005, 'Sindre Øyehaug',    'sindre.oyehaug@tindheim.example',    1001, 'nb', '2020-11-01', NULL, NULL),
    (1006, 'Liv Tangen',        'liv.tangen@tindheim.example',        1000, 'nb', '2011-02-01', NULL, NULL),
    (1007, 'Tor Æsvik',         'tor.aesvik@tindheim.example',        1006, 'nb', '2022-09-01', NULL, NULL),
    (1008, 'Maja Lindqvist',    'maja.lindqvist@tindheim.example',    1006, 'en', '2016-06-01', NULL, NULL),
    (1009, 'Jon Vestby',        'jon.vestby@tindheim.example',        1006, 'nb', '2019-04-01', '2025-05-31', 'withdrawn'),
    (1010, 'Elin Haugland',     'elin.haugland@tindheim.example',     1000, 'nb', '2025-04-01', NULL, NULL),
    (1011, 'Ahmed Rahimi',      NULL,                                 1006, 'nb', '2023-01-01', NULL, NULL);
