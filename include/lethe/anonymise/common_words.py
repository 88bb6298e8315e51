"""Names that are also words, and words by which to tell which of the two is meant; our own lists."""

from __future__ import annotations

# Given names and surnames that Norwegian or English text uses as ordinary words. In lower case they are
# taken for the word.
_AMBIGUOUS = """
aas aase ali alm alma andre ane anh april are art ask august bakke bakken bakker bank bari bekk bekken ben berg berge
best bill birk bjerg bjerk bjerke bjørk bjørn black blom bo bonde borg brede brekke brekken brenden brent bror brown
brua brun bråten bråthen bu bull by bye bø bør can chan chang chase christian cook dag dagen dahl dal dalen dang day
dean deg din dina dine ditt do due dyr eg eide eik eli elle else elv elva elven emil en eng enge engen enger er erle
even falk fall far field fin fine fjeld fjell fjellet fjære flink flo ford foss fossen fox frank fred fredag frem fri
frid frisk frode frost frøy gang gard gaute gerd gjerde glad god gran grande granli grav green grei gren greve grip
gro grove gry grå grøn grønn
gul gull gunn gutt gård gården gås ha haga hage hagen hai hall halle ham hammer han hans hard hare
haug hauge haugen hauk hav haven hei heia heid hel helge helgen helle her hild hill hjort ho hoa hol hold holm holmen
holt hope horn hovde hun hung hunt hus huse huy hval hvit hvite høst høsten høy ida idun in ine inge iris is iver jack
jan jarl jente jo joy juli juni kai kaia kaja kald kan kant khan king kirke kjær klar klara kleiv kleiva klev klok
konge kors kost krage kram kran krog krok kroken kvale kvam kvinne kvist kåre la lag lage laks lam land lande lang
lange langen le leira leiv lett li lia lid lie lien lilje lille lilly lin lind linde line linn liten liv lo long luna
lund lunde lunden lykke lyng lys løken løkka løkke løkken løv ma mai man mandag mann mark marka marken mars mat max
may mer mere mester mille min mine mitt mo moa moe moen mor moss mot my myr myra myren mæl mørk ne nes neset ness ni
noen noor nor nord nordli nova ny nygård næss odd odden odin ola one ove over page park per perle pia plass plassen
pål rabben ran rand ravn ray regn rein rev rich rik ring ris rise ro roa roar rod roe roen rolig rose rosen rot roy
rud runar rune rust rut rygg rød rør sag sand sande sander sandvik sang sara se sen seter setra shah siden sig signe
silke sin siri sissel sitt siv sjø sjøen skar skaret skarp skau ski skog skogen sky sletta slette sletten small smed
smith smitt smørgrav snill snø so sol sole solheim solvang sommer son song stad stamme stang stein sten sterk sti stig
stille stokke stor store storm strand stranda strande stranden strøm strømmen stua stubb stål ståle stø støa støen sun
sund sunde sundet sur svane svart sveen svein sven sverre sæter sør søster søt ta tage tang tangen teig teigen thor
tid tier tine ting to tom tone tor tore torp torv tove tran trine tro true tu tuft tun tunet tung tveit tåge ulv ulven
una une ung unge unn van vang vann var varde varm vei ven vera vest vi vik vika vike viken viktor vild vilde vilja
vilje vill vind vinje vinter vita viva vold voll vollen våg våge våken vår våren way west white wik will wood young å
ås åse åsen øde ørn øst øy øya øye øyen
"""
_PARTICLES = "af al av bin da das de del della den der di dos du el la le of og ten ter van von y zu"

# Names that stand before a noun, as adjectives or possessives.
_BEFORE_A_NOUN = """
best black brown brun brune ditt din dine fin fine flink fri frisk glad god gode gran grande green grei grå grøn
grønn gul hard hvit hvite høy kald klar klok lang lange lett lille liten long mild min mine mitt mørk my noen odd pen
rein ren rik rolig rød skarp skarpe small snill sterk stille stor store strong sund sunn svart søt søte true trygg tung
ung unge varm vild vill våre vår white wild young
"""
# What may stand right after a person's name, besides verbs that their endings show.
_GOES_WITH_A_PERSON = """
ad alene alltid altså at av aldri alt bare begge borte bort da der eller enda er etter ferdig for fordi først gjer gjør
har helt her hjemme hos hva hvis i ikke ikkje inn inne igjen ja jobb kan klar klarer kl ledig med men mens må nei ned
nede no nok nå når og også okay om opp oppe opptatt orientert over på selv sin sine sjøl skal snart som syk sjuk så sånn
tilbake til trolig ut ute uten utan under va var ved veit vet via vikar vil øker
ask and as at can could do does for from had has have in is of on or said say says should told was were wants who will
with would
"""
# Ends of verbs without an ending of their own: the past of strong ones, their present in nynorsk; also in compounds.
_STRONG_VERBS = """
bad bar beit bet blei ble
braut brøt drakk drev dreiv dro falt fann fant fekk fikk flaug fløy forsto gav gikk gjekk greip
grep hang hjalp holdt heldt kom lo lot løp nøt rakk rauk røk sang sank sat satt skar skaut skjøt skrek skrev skreiv
slapp
slo slepp sov spant sprang stakk sto stod svor såg så tok traff trakk vann vant visste
bed bryt drikk finn gjev held kjem les ligg sit skriv spring tek treng veit vert vinn
"""
# Ends of nouns and adjectives that look like those of verbs.
_NOUNS_LIKE_VERBS = """
server ruter router leverandør kontor printer skriver partner rådgiver saksbehandler medarbeider tekniker
kunder nummer kalender mottaker avsender operatør selger innkjøper tur dør dager timer måneder
kontakt port vakt post nett chat klient agent assistent konsulent test produkt
faktura kamera data firma agenda media
kunde side bilde beste første siste neste største minste liste kontoliste
plass pris buss glass lås avis
"""
# In lower case they are hardly ever a name, whatever stands before; nor after a given name a surname.
_AS_OFTEN_A_PRONOUN = """
alle april august best can da de deg den der des die din dina dine ditt do due eg elle else en er et fin fine fredag han
hans
har helt her hun i in ine jo juli juni la li long ma mai mandag mars may me mer mere min mine mitt mo my ni no noen ny
ola one over page so som ta ti tid tier to tre tro tu us una ut vi vår våre way will
"""
# Suffixes of surnames.
_SURNAMES_END = """
sen son sson stad land rud berg heim set seth vik dal dahl haug nes mo moen lund strand gård gaard stein by bø eng lie
ås mark vold voll mann hagen bakken lien tveit fjord sund skog foss rød hus holt torp
"""

AMBIGUOUS = frozenset(_AMBIGUOUS.split())
PARTICLES = frozenset(_PARTICLES.split())  # stand between the parts of a name, and mean it only there
GOES_WITH_A_PERSON = frozenset(_GOES_WITH_A_PERSON.split())
NOUNS_LIKE_VERBS = tuple(_NOUNS_LIKE_VERBS.split())
AS_OFTEN_A_PRONOUN = frozenset(_AS_OFTEN_A_PRONOUN.split())
SURNAMES_END = tuple(_SURNAMES_END.split())
BEFORE_A_NOUN = frozenset(_BEFORE_A_NOUN.split())
STRONG_VERBS = tuple(_STRONG_VERBS.split())
