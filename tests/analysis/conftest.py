import numpy as np
import pandas as pd
import pytest

from factalign import schemas
from factalign.evaluation.scores import score_responses, score_sentences

TOPICS = ["Chad", "Peru", "Papua New Guinea", "<b>Oman</b>"]
SAMPLES = 3


@pytest.fixture
def prompts():
    return schemas.Prompts.validate(
        pd.DataFrame(
            {
                "prompt_id": [f"p{i}" for i in range(len(TOPICS))],
                "messages": [[{"role": "user", "content": f"Describe {topic}."}] for topic in TOPICS],
                "topic": TOPICS,
                "aspect": "a",
                "source": "s",
                "split": "test",
            }
        )
    )


@pytest.fixture
def benchmark():
    """A function from a share of supported claims to one model's tables, as keyword names."""

    def tables(share, seed=0, prompt_ids=(0, 1, 2, 3)):
        rng = np.random.default_rng(seed)
        rows = {"responses": [], "sentences": [], "claims": [], "verdicts": []}
        for i in prompt_ids:
            for sample in range(SAMPLES):
                own = f"r{seed}-{i}-{sample}"
                text = f"{TOPICS[i]} is a sovereign state. It has <script>alert(1)</script> 😀 rivers."
                response = {"response_id": own, "prompt_id": f"p{i}", "sample_index": sample, "text": text}
                rows["responses"].append(
                    {**response, "finish_reason": "stop", "num_tokens": 20, "policy_id": "x", "seed": 0}
                )
                middle = text.index(" It has")
                for n, (start, end) in enumerate([(0, middle), (middle + 1, len(text))]):
                    part = {"response_id": own, "sentence_id": f"s{own}-{n}"}
                    rows["sentences"].append({**part, "index": n, "start": start, "end": end, "text": text[start:end]})
                    claim = {**part, "claim_id": f"c{own}-{n}", "text": text[start:end], "duplicate_of": None}
                    rows["claims"].append(claim)
                    label = "supported" if rng.random() < share else "not_supported"
                    rows["verdicts"].append(
                        {"claim_id": claim["claim_id"], "label": label, "confidence": 1.0, "passage_id": None,
                         "verifier_id": "v"}
                    )  # fmt: skip
        models = (schemas.Responses, schemas.Sentences, schemas.Claims, schemas.Verdicts)
        found = {name: model.validate(pd.DataFrame(rows[name])) for name, model in zip(rows, models, strict=True)}
        found["scores"] = score_responses(**found, k=2)
        found["sentence_scores"] = score_sentences(found["sentences"], found["claims"], found["verdicts"])
        found["costs"] = schemas.empty(schemas.Costs)
        return found

    return tables
