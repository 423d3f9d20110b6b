"""Two people that the tests of the population twin share."""

from twins import TwinSpec

MAN = TwinSpec(sex="male", age_y=62, height_cm=176, bmi=27, key=1)
WOMAN = TwinSpec(
    sex="female", age_y=64, height_cm=162, bmi=26, smoking="current", pack_years=40, emphysema_percent=2.0, key=2
)
