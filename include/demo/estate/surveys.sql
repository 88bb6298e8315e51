-- The survey tool: identifiable answers (R05) and anonymous ones (R06).
DROP TABLE IF EXISTS survey_answers, respondents, anonymous_answers CASCADE;

CREATE TABLE respondents (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    invited_at timestamptz NOT NULL
);

CREATE TABLE survey_answers (
    id uuid PRIMARY KEY,
    survey text NOT NULL,
    respondent_id uuid REFERENCES respondents (id),
    score smallint NOT NULL CHECK (score BETWEEN 1 AND 6),
    comment text,
    answered_at timestamptz
);
CREATE INDEX survey_answers_respondent ON survey_answers (respondent_id);

CREATE TABLE anonymous_answers (
    id uuid PRIMARY KEY,
    survey text NOT NULL,
    sector text NOT NULL,
    score smallint NOT NULL CHECK (score BETWEEN 1 AND 6),
    answered_in_week date NOT NULL
);
