-- The bookkeeping system (R08, R13), inherited and untidy. No foreign keys. Dates that are not known are 1970-01-01
-- (from the old import) or 9999-12-31 (from the new forms). Time stamps carry no zone and mean UTC.
--   faktura.kundenr       → kunde.kundenr
--   foelgeseddel.fakturanr → faktura.fakturanr
--   bilag.ref_id          → text of faktura.fakturanr or foelgeseddel.id, as bilag.ref_type says; BANK refers to nothing
DROP TABLE IF EXISTS bilag, foelgeseddel, faktura, kunde CASCADE;

CREATE TABLE kunde (
    kundenr text PRIMARY KEY,
    navn text NOT NULL,
    status char(1) NOT NULL,                  -- A aktiv, S sluttet; a closing date counts only together with S
    opprettet timestamp NOT NULL,
    avsluttet date NOT NULL DEFAULT '9999-12-31'
);

CREATE TABLE faktura (
    fakturanr bigint PRIMARY KEY,
    kundenr text NOT NULL,
    kunde_navn text,
    kunde_adresse text,
    kunde_epost text,
    kunde_telefon text,
    fakturadato date NOT NULL,
    forfall date NOT NULL,
    beloep numeric(12, 2) NOT NULL,
    registrert timestamp NOT NULL
);

CREATE TABLE foelgeseddel (
    id bigint PRIMARY KEY,
    fakturanr bigint,
    mottaker text,
    adresse text,
    levert timestamp NOT NULL
);

CREATE TABLE bilag (
    id bigint PRIMARY KEY,
    ref_type text NOT NULL,
    ref_id text,
    bilagsdato date NOT NULL,
    konto text NOT NULL,
    tekst text,
    beloep numeric(12, 2) NOT NULL
);
