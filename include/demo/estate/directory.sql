-- The directory of employees: who works here, in whose charge, and who is about to leave.
DROP TABLE IF EXISTS employees CASCADE;

CREATE TABLE employees (
    employee_no integer PRIMARY KEY,
    name text NOT NULL,
    mailbox text UNIQUE,
    manager_no integer REFERENCES employees (employee_no) DEFERRABLE INITIALLY DEFERRED,
    language text NOT NULL DEFAULT 'nb' CHECK (language IN ('nb', 'en')),
    employed_from date NOT NULL,
    last_day date,
    departure text CHECK (departure IN ('leaving', 'withdrawn'))
);
