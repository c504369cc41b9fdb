"""The lexical verifier: tokens, names, clauses and typed facts, without a model.

`verifier` holds the rule: from the verdict on a clause (`_judge_clause`) to that on a claim (`_judge_claim`). What it
asks for is read by the others: `reading` cuts claims into clauses and reads passages, `typed` compares a clause with
typed facts, `quantities` finds numbers with their units, `vocabulary` lists the words that say nothing checkable.
`account` is what the verifier saw before its rule made one verdict of it, for those who learn a better rule.
"""
