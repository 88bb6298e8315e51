FROM apache/airflow:3.3.2

COPY --chown=airflow:0 requirements.txt /opt/airflow/requirements.txt
RUN pip install --no-cache-dir --require-hashes --requirement /opt/airflow/requirements.txt

# What evidence keeps outside the databases: a volume that is laid here belongs to who runs the tasks.
RUN mkdir -p /opt/airflow/outside

# Policy and code come with the image: what ran on a day can be told from the image that ran.
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include
