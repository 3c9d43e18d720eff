# The app in a container: for the CPU, or with --build-arg DEVICE=cuda for NVIDIA GPUs; --build-arg EXTRAS=ray adds Ray.
# docs/deploy.md shows how to run it.
FROM python:3.11-slim

ARG DEVICE=cpu
ARG EXTRAS=none
WORKDIR /app
COPY requirements.txt constraints.txt ./
# PyPI's torch for Linux includes CUDA; PyTorch's own index has the smaller CPU build.
RUN if [ "$DEVICE" = cpu ]; then \
        pip install --no-cache-dir -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch torchvision; \
    fi \
    && pip install --no-cache-dir -c constraints.txt -r requirements.txt \
    && if [ "$EXTRAS" = ray ]; then pip install --no-cache-dir -c constraints.txt "ray[serve]"; fi \
    && useradd --uid 10001 --create-home segviz

COPY .streamlit ./.streamlit
COPY app.py LICENSE ./
COPY pages ./pages
COPY segviz ./segviz
COPY checkpoints ./checkpoints

USER 10001
ENV PYTHONDONTWRITEBYTECODE=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_SERVER_PORT=8501 \
    OMP_NUM_THREADS=1 \
    OMP_WAIT_POLICY=PASSIVE \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=3145728 \
    THP_MEM_ALLOC_ENABLE=1
EXPOSE 8501
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://localhost:8501/healthz', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "app.py"]
