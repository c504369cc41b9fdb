"""English words that say nothing checkable, or that a check turns on. All sets hold stems."""

from __future__ import annotations

from factalign.base.text import stems


def _stems(text: str) -> frozenset[str]:
    return frozenset(word for word in stems(text))


FUNCTION_WORDS = _stems(
    """a an the this that these those it its they their them there here he she his her him we our us you
    your i my who whom whose which what where when why how is are was were be been being am do does did has
    have had having can could may might must shall should will would of in on at by for from to into onto
    within with without across along among amongst around about above below between through throughout over
    under near off up down out as than then so such also too both either neither each every all any some
    other others another and or but nor yet if while whereas although though because since until during
    after before once upon via per vs etc including include includes included s t d one ones very more most
    much many few several own same just even still already however therefore thus moreover additionally
    furthermore addition well like according"""
) - _stems("most all every")

LIGHT_VERBS = _stems(
    """located situated lies lie lying found nestled known called named considered regarded referred
    described made make makes making become became becomes remains remain gives give given takes take taken
    get got goes go come comes exists exist use used uses using serve serves served provides provide
    provided contains contain contained features feature featured characterized represents represent
    governed eventually part home boasts boast offers offer extends extend stretches stretch occupies occupy
    sits sit spans span covers cover covering member members play plays played role speak spoken"""
)

VAGUE = _stems(
    """vibrant rich diverse diversity unique beautiful stunning picturesque breathtaking fascinating famous
    renowned well-known popular notable significant significance important importance crucial vital key
    major minor main primary various variety numerous range large small big vast great good better best
    strong complex dynamic modern traditional tradition ancient long history historic historical heritage
    culture cultural identity character spirit lifestyle scene landscape scenery natural beauty attraction
    world global international national local people life way ways thing things number kind type sort form
    example aspect aspects factor factors feature challenge challenges issue issues problem problems
    opportunity opportunities potential future past present recent recently year years today now time times
    development developed developing growth growing impact influence effort efforts continue continues
    continued contributor contribute contributes contribution heavily highly greatly particularly especially
    approximately around roughly estimated estimate total overall general generally typically usually often
    commonly widely mostly fact facts information overview detail details introduction title conclusion
    summary following lot lots wide strategic strategically crossroads center centre hub destination place
    places area areas region regions site sites city cities town towns country countries nation nations
    state states land lands territory territories world's product products produce produced producing
    producer producers production goods staple source sources sector sectors industry industries activity
    activities environment society community communities population populations citizen inhabitant resident
    group groups wealth wealthy prosperous stable stability relatively fairly quite rather small-scale
    large-scale distinct different distinctive thriving heart blend mix mixture tapestry array multitude
    multifaceted powerhouse testament quality standard standards high higher advanced robust strong
    resilient sustainable sustainability innovative innovation promising emerging prominent notably
    widespread extensive abundant plentiful lush pristine scenic serene majestic iconic legendary enchanting
    captivating charming exotic hidden gem jewel paradise haven melting pot celebrated celebrate celebrates
    embrace embraces reflect reflects reflected reflecting shape shaped shapes shaping marked mark marks
    experience experiences appreciate enjoy explore discover understanding perspective journey legacy roots
    deep deeply interesting essential integral comprehensive considerable substantial countless endless
    wonderful magnificent spectacular splendid blessed ideal perfect true truly indeed certainly clearly
    undoubtedly arguably article section text paragraph answer response question information specific
    remarkable impressive exciting lively bustling friendly welcoming hospitable warm delicious cuisine
    festival festivals music art arts dance nightlife sports wildlife currently officially official economy
    economic economies"""
)

# Compared as they are written: "mainly" and "main" have one stem.
MOSTLY = frozenset(
    ["majority", "predominantly", "predominant", "primarily", "mainly", "mostly", "largely", "overwhelmingly"]
)
MINORITY = frozenset(("minority", "minorities"))
SUPERLATIVES = _stems(
    """largest smallest biggest highest lowest longest shortest oldest youngest richest poorest busiest
    tallest deepest fastest greatest wealthiest safest happiest cleanest driest wettest hottest coldest
    northernmost southernmost easternmost westernmost most least first second third last only sole founding
    founder leading top largest-ever unique every all"""
) - _stems("unique")
NEGATIONS = _stems("not no never without nor neither none cannot lacks lack")
COPULAS = frozenset(("is", "are", "was", "were"))
_POINTS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
COMPASS = {f"{point}{ending}": 45.0 * turn for turn, point in enumerate(_POINTS) for ending in ("", "ern")}
DEFINITE = frozenset(("the", "this", "that", "these", "those", "its", "their", "our"))
INDEFINITE = frozenset(("a", "an"))
ARTICLES = DEFINITE | INDEFINITE
# Words that open a clause after a comma or "and", and those that do without, but for behind an auxiliary.
_CLAUSE_OPENERS = """which who whom that with where while whereas but is are was were has have had it they also
located situated bordered bounded surrounded bordering covering including having making home known"""
CLAUSE_OPENERS = frozenset(_CLAUSE_OPENERS.split())
STRONG_OPENERS = frozenset(("with", "which", "who", "bordered", "bounded", "located", "situated"))
AUXILIARIES = _stems("is are was were be been being also not never mostly mainly")
